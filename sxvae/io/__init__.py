"""Reading arrays of images, and writing files whole or not at all. Works without PyTorch."""
