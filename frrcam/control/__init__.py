"""What is told of the daemon and what may be changed: status, live settings, the page, and how to find them."""
