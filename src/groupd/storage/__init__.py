"""Where records are kept: a port, two stores behind it, and the async log in front of them."""
