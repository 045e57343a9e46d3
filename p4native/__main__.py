"""`python -m p4native`."""

from p4native.cli import main

if __name__ == "__main__":
    main()
