"""Networks, one a file: `models.MODEL.network` in params.yaml names the file of its own."""
