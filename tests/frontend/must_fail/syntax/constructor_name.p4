extern E {
    F();
}
