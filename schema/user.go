package schema

// MinPassword is how many characters a password needs at least.
const MinPassword = 10
