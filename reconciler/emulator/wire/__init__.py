"""How requests and answers look on the wire: routes, Google's proto types, errors, filters, names."""
