"""What touches this machine: the locks that show who is alive, the processes that are started, the log files."""
