"""What a city keeps of itself, and how a folder says whose it is and whether it is whole."""
