"""The rehearsal: the user's bot on the built-in exchange while things break."""
