; Definitions, calls and imports of Python.
(class_definition name: (identifier) @name) @def.class
(function_definition name: (identifier) @name) @def.function

(call function: (identifier) @call)
(call function: (attribute attribute: (identifier) @call))
(decorator (identifier) @call)
(decorator (attribute attribute: (identifier) @call))

(import_statement name: (dotted_name) @import)
(import_statement name: (aliased_import name: (dotted_name) @import))
(import_from_statement module_name: (_) @from)
(import_from_statement module_name: (_) @from name: (dotted_name) @item)
(import_from_statement module_name: (_) @from name: (aliased_import name: (dotted_name) @item))
