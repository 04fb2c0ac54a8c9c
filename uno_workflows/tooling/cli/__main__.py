"""`python -m uno_workflows.tooling.cli`, for where the `uno` script is not on the path."""

from uno_workflows.tooling.cli import main

if __name__ == "__main__":
    main()
