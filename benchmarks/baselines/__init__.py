"""What the product is compared with, each written as its users would write it, in a file of its own."""
