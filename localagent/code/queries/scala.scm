; Definitions, calls and imports of Scala.
(object_definition name: (_) @name) @def.class
(class_definition name: (_) @name) @def.class
(trait_definition name: (_) @name) @def.interface
(enum_definition name: (_) @name) @def.enum
(function_definition name: (_) @name) @def.function
(function_declaration name: (_) @name) @def.function
(type_definition name: (_) @name) @def.type

(call_expression function: (identifier) @call)
(call_expression function: (field_expression field: (identifier) @call))
(instance_expression (type_identifier) @call)

(import_declaration) @import
