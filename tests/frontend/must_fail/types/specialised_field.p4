header H<T> { T a; }
typedef H<string> t;
