"""Versions on trial: a share of the requests for a canary, copies for a shadow. What is on trial, ``scripts/deploy``
writes down (:mod:`exchange.trial`)."""
