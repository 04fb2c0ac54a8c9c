"""The composition root: settings in, wired parts out. `Uno` for programs, the worker for processes."""
