"""GraphQL: the nouns of the API as one graph. Needs the extra `graphql`; import its parts only where that is there."""
