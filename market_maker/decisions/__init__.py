"""What a position manager needs beside arithmetic: where decisions come from, and its lots."""
