"""The intermediate representations: frozen data, their verifiers, interpreters and dumps. Nothing here decides
anything."""
