"""Provider adapters: canonical messages, the interface of each kind, manifests, the registry, the HTTP core."""
