"""The command line of careergpt: `python main.py --help`."""

from careergpt.cli import main

if __name__ == "__main__":
    main()
