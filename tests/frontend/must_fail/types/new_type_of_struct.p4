struct S { }
type S T;
