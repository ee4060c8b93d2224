"""``ajrd setup`` and ``ajrd uninstall``: a head node from nothing to a running service, and back.

Theory of operation. What is to be done depends on two things that are known before anything is
changed: what was found on the host (:mod:`ajrd.setup.facts`) and what its administrator wants
(:mod:`ajrd.setup.answers`). From them the wanted state is derived, and a list of steps leads to it.
Each step looks first and changes only what is missing, so it may be repeated at any time. What a
step makes it writes down *before* it makes it (:mod:`ajrd.setup.book`), in a file that root alone
may write: a step that fails takes back what it has made, and ``ajrd uninstall`` takes back
everything that stands in that book and nothing else.

What an administrator wants is asked by a table of questions (:mod:`ajrd.setup.questions`), a group
at a time, and each group is tried before the next one is asked (:mod:`ajrd.setup.trying`): a trial
changes nothing, and names the answer that is wrong. Answers of a file are tried in the same way.
"""
