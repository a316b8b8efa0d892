; Definitions, calls and imports of Haskell.
(data_type name: (name) @name) @def.type
(newtype name: (name) @name) @def.type
(type_synonym name: (name) @name) @def.type
(class name: (name) @name) @def.interface
(instance name: (name) @name) @def.impl
(function name: (variable) @name) @def.function
(declarations (bind name: (variable) @name) @def.function)

(apply function: (variable) @call)
(apply function: (qualified id: (variable) @call))

(import module: (module) @import)
