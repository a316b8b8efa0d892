; Definitions, calls and includes of C++.
(function_definition declarator: (function_declarator declarator: (_) @name)) @def.function
(function_definition
  declarator: (pointer_declarator declarator: (function_declarator declarator: (_) @name))
) @def.function
(function_definition
  declarator: (reference_declarator (function_declarator declarator: (_) @name))) @def.function
(struct_specifier name: (_) @name body: (_)) @def.struct
(union_specifier name: (_) @name body: (_)) @def.struct
(class_specifier name: (_) @name body: (_)) @def.class
(enum_specifier name: (_) @name body: (_)) @def.enum
(namespace_definition name: (_) @name) @def.module
(type_definition type: (struct_specifier !name body: (_)) declarator: (type_identifier) @name) @def.struct
(preproc_function_def name: (identifier) @name) @def.macro

(call_expression function: (identifier) @call)
(call_expression function: (field_expression field: (field_identifier) @call))
(call_expression function: (qualified_identifier name: (identifier) @call))
(call_expression function: (template_function name: (identifier) @call))
(new_expression type: (type_identifier) @call)

(preproc_include path: (_) @import)
