"""Who decides what happens: checked scripts in processes of their own."""
