"""Files: written whole or not at all, and arrays read from them. Nothing here needs PyTorch."""
