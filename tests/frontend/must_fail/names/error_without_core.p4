struct S { error e; }
