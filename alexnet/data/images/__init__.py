"""Single images and arrays of them: decoding, the decoded cache, images on disk."""
