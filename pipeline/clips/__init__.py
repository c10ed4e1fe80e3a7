"""The built-in kind of data set for people's own clips: files of video and images in folders or a CSV."""
