"""What trials leave behind, kept where workers without the study's folder can fetch it.

A trial's files travel as one archive, sent by the worker that holds the trial. The study's storage
says which archive is the newest, and what it must look like; it alone is believed.
"""
