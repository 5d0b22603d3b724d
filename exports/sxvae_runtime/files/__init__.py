"""Files that are whole at every moment, and locks that end with their process. Standard library."""
