r"""The `scripted` provider: plays a model's part from a file. No key, no network, no cost of its own.

It serves examples that must run on a machine without any model, and tests. Its answers come from a script, never
from a model, and every answer says so: `provider` is ``scripted``.

**Which script.** The model's name is the script: ``scripted:<path>``, absolute or relative to the working
directory. ``scripted:default`` is the file that the configuration field `script` or the variable
``MOSAIC_SCRIPT`` names. An example keeps its script beside its workflow as ``scripted.yaml``.

**The format**, YAML or JSON::

    scripted: 1                     # the format's version; required
    name: fix-failing-test          # shown as the model's name; default: the file's name without its ending
    price:                          # optional; without it the answers cost nothing
      input_usd_per_mtok: 3
      output_usd_per_mtok: 15
    delay_s: 0.2                    # optional; before every answer that has no delay of its own
    agents:
      planner:                      # the agent's name; "*" serves every agent that has no entry
        - text: I will look at the tests first.            # the first answer of a conversation
          tool_calls:
            - {tool: files.list, arguments: {path: tests}}
        - output: {plan: [read, fix, test]}                # the second answer
      coder:                        # several scenes: the first one whose `when` fits is played
        - when: {prompt: {regex: 'Fix (?P<file>\S+)'}}
          turns:
            - tool_calls: [{tool: files.read, arguments: {path: "<<file>>"}}]
            - first_of:             # alternatives: the first one whose `when` fits answers
                - when: {tool_result: {contains: "return a - b"}}
                  tool_calls: [{tool: files.edit, arguments: {path: "<<file>>", old: "a - b", new: "a + b"}}]
                - text: It is right already.
            - text: Done.
              repeat: true          # only on the last turn: answers every later turn too
        - turns:
            - text: There is nothing to do.

**Which turn.** The answer is chosen by the agent's name (``request.metadata["agent"]``; without one, ``"*"``) and
by how many assistant messages the conversation already holds: none means the first turn. Nothing is remembered
between calls, so a run that is resumed or forked hears the same answers again. A conversation that has outlived
its turns, or that fits no scene and no alternative, is an error which says what was looked for and what was said.

**An answer** has any of:

=============  ====================================================================================================
``text``       what the model says
``output``     a JSON value given as the whole text: a structured output
``reasoning``  what the model thinks
``tool_calls`` a list of ``{tool, arguments}``; ``id`` is made from the turn when it is not given; ``raw`` in place
               of ``arguments`` is text as a careless model would write it (it arrives marked as malformed)
``delay_s``    seconds before the answer
``error``      a failure: ``{code, message, hint, retry_after_s, attempts}``. `code` is one of MosAIc's error codes
               (`unavailable`, `limit_exceeded`, `timed_out`, `model_refused`, ...). With ``attempts: 1`` only the
               first attempt fails (``request.metadata["attempt"]``) and the rest of the turn answers the next one;
               without it every attempt fails
``finish``     `stop`, `length` or `content_filter`; by default `tool_call` with tool calls, else `stop`
``usage``      ``{input_tokens, output_tokens, cached_input_tokens, ...}``; estimated from the text when not given
``when``       a condition (below), in a scene and in ``first_of``
``repeat``     true on the last turn: it answers every later turn as well
=============  ====================================================================================================

**A condition** names what must fit; all of it must:

* ``prompt``: the first message of role `user`
* ``last``: the last message, whoever sent it; tool results as the model reads them
* ``tool_result``: the last message must hold a tool result; may also name ``tool`` and ``is_error``
* ``system``: the system messages
* ``path``: the step's path, ``request.metadata["path"]``

Each is a text that must be contained, or an object with any of ``contains`` (a text or a list of texts that must
all be there), ``lacks`` (texts that must not) and ``regex`` (searched, `^` and `$` at every line). Named groups of
the regular expressions that fitted are written into the answer's texts, outputs and arguments where ``<<name>>``
stands; the groups of a scene's `when` serve all its turns.
"""

from mosaic.plugins.scripted.provider import SCRIPT_FILE, ScriptedProvider, provider
from mosaic.plugins.scripted.reader import load_script, parse_script
from mosaic.plugins.scripted.script import Script

__all__ = ["SCRIPT_FILE", "Script", "ScriptedProvider", "load_script", "parse_script", "provider"]
