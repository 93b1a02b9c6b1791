"""Who we are to an exchange: signatures, and the classes old scripts import from here."""

from market_maker.auth.AccessTokenAuth import AccessTokenAuth
from market_maker.auth.APIKeyAuth import APIKeyAuth
from market_maker.auth.APIKeyAuthWithExpires import APIKeyAuthWithExpires

__all__ = ["APIKeyAuth", "APIKeyAuthWithExpires", "AccessTokenAuth"]

# In the original these names are the classes, which hide the modules they come from. A script
# that takes one for the module (`APIKeyAuth.APIKeyAuth(key, secret)`) finds the class as well.
for _class in (APIKeyAuth, APIKeyAuthWithExpires, AccessTokenAuth):
    setattr(_class, _class.__name__, _class)
