"""What each command of the program does: parse, call, print."""
