"""What a person at a keyboard runs."""
