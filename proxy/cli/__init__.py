"""The command line, one module a command. Imports everything; nothing imports it but __main__."""
