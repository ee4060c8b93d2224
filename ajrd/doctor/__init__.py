"""``ajrd doctor``: is everything there that the service needs, and what mends what is not?"""
