"""Threads and the calls between them: deadlines, a mailbox, retries, notices, signals."""
