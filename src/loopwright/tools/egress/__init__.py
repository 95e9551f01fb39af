"""How anything leaves this machine: exact hosts, checked addresses, one resolution, and a look at what is sent."""
