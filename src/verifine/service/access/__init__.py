"""Who may do what: owners' keys and their scopes, and at which addresses a service may be asked."""
