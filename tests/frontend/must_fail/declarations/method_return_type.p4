extern E {
    E();
    string f();
    int g();
}
