enum bit<2> E {
    A = 1,
    B = 4,
    C = -1
}
