"""The command line tool `modelvane`: see and steer what Modelvane serves."""
