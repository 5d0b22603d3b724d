"""Product-space variational auto-encoders and what they are made of."""
