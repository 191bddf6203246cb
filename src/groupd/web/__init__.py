"""The doors that speak HTTP: what a host application's backend asks for."""
