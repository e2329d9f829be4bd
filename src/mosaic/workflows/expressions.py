"""``${...}`` expressions: CEL inside YAML strings.

* ``"${plan.tasks}"`` - the whole string is one expression: the value keeps its type.
* ``"Fix ${task.title} now"`` - text with expressions: text is put in as it is, every other value as JSON.
* ``$${`` writes ``${`` literally.
* Conditions (`if`, `when`, `while`, `expect`) may be bare CEL: ``review.score < 0.9``; they must give a bool.

API (implementation follows in this module)::

    compile(text, *, file="", line=0, column=0) -> Template         # raises ExpressionFailed on a syntax error
    compile_condition(text, ...) -> Template                        # bare CEL or one ${...}
    compile_shell(text, ...) -> ShellTemplate                       # script whose values travel as environment variables
    Template.evaluate(scope: Mapping[str, JsonValue]) -> JsonValue  # raises ExpressionFailed
    Template.evaluate_text(scope) -> str                            # text as it is, other values as JSON
    Template.evaluate_bool(scope) -> bool                           # ExpressionFailed if it is not a bool
    Template.variables -> frozenset[str]                            # free variables
    Value.evaluate(scope) -> JsonValue                              # a JSON tree with templates as leaves
    Value.variables -> frozenset[str]
    ShellTemplate.render(scope) -> tuple[str, dict[str, str]]       # (script, environment)

Give `scope` whole; only the variables an expression names are converted.
"""
