"""What trading has come to: figures, read-only towards the bot."""
