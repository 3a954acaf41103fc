"""The Space's entry point: `python app.py [--model PATH]` opens the page. Everything else is in `ddpm_space.ui`."""

from ddpm_space.ui.launch import main

if __name__ == "__main__":
    main()
