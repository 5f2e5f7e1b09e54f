"""What every part of the program needs of the machine it runs on: files."""
