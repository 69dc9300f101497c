"""`python -m shanhe` is the command line."""

from shanhe.cli import main

if __name__ == "__main__":
    main()
