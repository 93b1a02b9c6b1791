"""What `marketmaker COMMAND` does; each module is imported only when it is asked for."""
